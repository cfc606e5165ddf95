//! Documents → desired state: values, precedence, and every mistake with its place.

mod conditions;
mod example;
mod explain;
mod hostile;
mod manual;
mod mistakes;
mod modes;
mod precedence;
mod rules;
mod schema;
pub(crate) mod support;
mod values;
mod warnings;
