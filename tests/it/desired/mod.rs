//! Documents → desired state: values, precedence, and every mistake with its place.

mod example;
mod explain;
mod hostile;
mod manual;
mod mistakes;
mod precedence;
mod schema;
mod support;
mod values;
