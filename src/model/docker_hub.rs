//! Docker Hub's names: it has another one for each of its parts. Pure.

/// What its images are named after.
pub const IMAGES: &str = "docker.io";
/// Its registry.
pub const REGISTRY: &str = "registry-1.docker.io";
/// Where its registry has tokens granted.
pub const TOKENS: &str = "auth.docker.io";
/// All that its registry goes by: whoever logs in at one of them means all of them.
pub const ALL: [&str; 3] = ["index.docker.io", IMAGES, REGISTRY];
/// What helpers and `docker login` know it by.
pub const LOGIN: &str = "https://index.docker.io/v1/";
