//! The client, the observation and the drift table against real engines and hubs.

mod drift;
mod faults;
mod fields;
mod lab;
mod observe;
mod pulls;
