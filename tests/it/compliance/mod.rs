//! Rules on a folder that stands for a host.

mod cli;
mod debian;
mod engine;
mod hostile;
mod images;
mod kinds;
mod standing;
mod support;
mod who;
