//! Rules on a folder that stands for a host.

mod accounts;
mod cli;
mod debian;
mod engine;
mod hostile;
mod images;
mod kinds;
mod packages;
mod seven;
mod standing;
mod support;
mod units;
mod who;
