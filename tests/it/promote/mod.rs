//! Promotion as people do it: clones, file remotes, real hubs; nodes judge what came of it.

mod lands;
mod people;
mod races;
mod refusals;
mod signing;
mod stage;
mod views;
