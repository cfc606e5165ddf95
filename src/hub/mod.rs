//! What lies in the registries: pins, and copies from hub to hub.
//!
//! In: hubs, a repository's files. Out: a changed ruleset file; images in a hub. Effect: asks hubs,
//! writes that file, copies.

mod access;
pub mod copy;
mod edit;
mod newer;
mod pin;
mod saved;
mod stock;
mod wanted;
mod work_tree;

pub use access::{AccessError, open_hub};
pub use edit::{EditError, Pin, edit, held_pin, ruleset_for};
pub use newer::{Offer, offer};
pub use pin::{PinError, PinRequest, Pinned, pin, read_files};
pub use saved::{SavedError, SavedImage};
pub use stock::{Held, Stock, stock};
pub use wanted::{Wants, wanted, wants_of};
pub use work_tree::{
    ContainerAddress, ContainerAddressError, Files, FirstHub, PinnedContainer, WorkTreeError,
    containers, first_hub, hub_of, pin_file,
};
