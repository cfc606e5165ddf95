//! The parts of the story.

pub(crate) mod deploy;
pub(crate) mod heal;
pub(crate) mod promote;
pub(crate) mod refuse;
mod farewell;
mod stage;
