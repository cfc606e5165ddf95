//! A GitOps reconciler for Docker hosts that trusts nobody.
//!
//! Every node pulls one Git repository of per-environment service definitions, checks signatures
//! and structure itself, compares desired with running containers, and applies or reports.
//!
//! The modules below stand in the order in which data flows, and **a module may use only those
//! declared above it** (`tests/it/tidy.rs` enforces it):
//!
//! ```text
//! model      nouns every stage shares                                       pure
//! config     the node's own configuration, from /etc/tidegate
//! clients    git, docker, registry, host: the only users of those systems
//! reconcile  source → trust → desired → observed → plan → apply → report
//! compliance facts → verdicts → fixes: rules of the host, and the built-in one of images
//! lint       what is wrong with a repository, for people                    pure
//! hub        what lies in the registries: pins, copies from hub to hub
//! promote    signed commits: composed, made, and the first ones of a repository
//! audit      what verified history says: who promoted what, what was wanted when  pure
//! import     other tools' documents → services and rulesets                   pure
//! agent      triggers, lock, requeue, shutdown; calls reconcile
//! demo       the main job on real containers, told and checked
//! cli        commands, output, exit codes
//! ```

pub mod model;
pub mod telemetry;
pub mod config;
pub mod clients;
pub mod reconcile;
pub mod compliance;
pub mod lint;
pub mod hub;
pub mod promote;
pub mod audit;
pub mod import;
pub mod agent;
pub mod demo;
pub mod cli;
