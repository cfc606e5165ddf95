//! The parts of the story.

pub(crate) mod deploy;
pub(crate) mod heal;
pub(crate) mod look;
pub(crate) mod promote;
pub(crate) mod refuse;
pub(crate) mod soak;
pub(crate) mod stolen;
mod farewell;
mod stage;
