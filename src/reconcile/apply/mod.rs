//! Executes a plan's steps and waits for health.
//!
//! In: [`crate::reconcile::plan::Plan`]. Out: an outcome per step. Effect: changes the engine.
