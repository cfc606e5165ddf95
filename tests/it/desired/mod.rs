//! Documents → desired state: values, precedence, and every mistake with its place.

mod hostile;
mod mistakes;
mod precedence;
mod support;
mod values;
