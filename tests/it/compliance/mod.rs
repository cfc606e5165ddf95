//! Rules on a folder that stands for a host.

mod access;
mod accounts;
mod cli;
mod debian;
mod engine;
mod hostile;
mod images;
mod kinds;
mod looks;
mod packages;
mod seven;
mod standing;
mod support;
mod time;
mod units;
mod who;
