//! SHA-256 that can be put aside and taken up again, even by another process. Pure.
//!
//! An upload that goes on after a kill must still be checked from its first byte, without reading
//! all of it again.

use sha2::compress256;
use sha2::digest::consts::U64;
use sha2::digest::generic_array::GenericArray;

use crate::model::Digest;

type Block = GenericArray<u8, U64>;

const BLOCK_BYTES: usize = 64;
/// Blocks that are hashed in one call.
const BLOCKS: usize = 64;
/// The state before the first byte (FIPS 180-4, 5.3.3).
const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A hash under way.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    state: [u32; 8],
    n_bytes: u64,
    blocks: Vec<Block>,
    /// Bytes in `blocks` that are not hashed yet.
    n_waiting: usize,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self::resumed(START, 0)
    }

    /// A hash of `n_bytes`, whose state was put aside.
    fn resumed(state: [u32; 8], n_bytes: u64) -> Self {
        Self { state, n_bytes, blocks: vec![Block::default(); BLOCKS], n_waiting: 0 }
    }

    /// Bytes hashed so far.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.n_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.n_waiting == 0
                && let Some((whole, rest)) = bytes.split_at_checked(BLOCKS * BLOCK_BYTES)
            {
                for (block, piece) in self.blocks.iter_mut().zip(whole.chunks_exact(BLOCK_BYTES)) {
                    block.copy_from_slice(piece);
                }
                compress256(&mut self.state, &self.blocks);
                bytes = rest;
                continue;
            }
            let (block, at) = (self.n_waiting / BLOCK_BYTES, self.n_waiting % BLOCK_BYTES);
            let n = (BLOCK_BYTES - at).min(bytes.len());
            self.blocks[block][at..at + n].copy_from_slice(&bytes[..n]);
            self.n_waiting += n;
            bytes = &bytes[n..];
            if self.n_waiting == BLOCKS * BLOCK_BYTES {
                compress256(&mut self.state, &self.blocks);
                self.n_waiting = 0;
            }
        }
    }

    /// The digest of all that was hashed.
    pub(crate) fn digest(&self) -> Digest {
        let mut last = self.clone();
        let n_bits = self.n_bytes * 8;
        last.update(&[0x80]);
        while last.n_waiting % BLOCK_BYTES != BLOCK_BYTES - 8 {
            last.update(&[0]);
        }
        last.update(&n_bits.to_be_bytes());
        compress256(&mut last.state, &last.blocks[..last.n_waiting / BLOCK_BYTES]);
        let mut bytes = [0; 32];
        for (word, place) in last.state.iter().zip(bytes.chunks_exact_mut(4)) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        Digest::from_bytes(bytes)
    }

    /// The state as text, between two blocks.
    pub(crate) fn put_aside(&self) -> Option<String> {
        let mut state = self.state;
        if !self.n_waiting.is_multiple_of(BLOCK_BYTES) {
            return None;
        }
        compress256(&mut state, &self.blocks[..self.n_waiting / BLOCK_BYTES]);
        Some(hex::encode(state.map(u32::to_be_bytes).concat()))
    }

    /// Takes up what [`Self::put_aside`] gave after `n_bytes`.
    pub(crate) fn take_up(text: &str, n_bytes: u64) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let mut state = [0; 8];
        for (word, place) in state.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_be_bytes(place.try_into().ok()?);
        }
        n_bytes.is_multiple_of(BLOCK_BYTES as u64).then(|| Self::resumed(state, n_bytes))
    }
}

#[cfg(test)]
mod tests {
    use crate::hub::copy::hash::Hasher;
    use crate::model::Digest;

    fn bytes(n: usize) -> Vec<u8> {
        (0..n).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
    }

    #[test]
    fn the_digest_is_sha_256_whatever_the_pieces() {
        for n in [0, 1, 55, 56, 63, 64, 65, 119, 4095, 4096, 4097, 10_000] {
            let all = bytes(n);
            for piece in [1, 7, 64, 5000] {
                let mut hasher = Hasher::new();
                all.chunks(piece).for_each(|piece| hasher.update(piece));
                assert_eq!(hasher.digest(), Digest::of(&all), "{n} bytes by {piece}");
                assert_eq!(hasher.n_bytes(), n as u64);
            }
        }
    }

    #[test]
    fn a_hash_put_aside_goes_on_in_another_process() {
        let all = bytes(9000);
        for at in [0, 64, 4096, 8192, 8256] {
            let mut first = Hasher::new();
            first.update(&all[..at]);
            let mut second = Hasher::take_up(&first.put_aside().unwrap(), at as u64).unwrap();
            second.update(&all[at..]);
            assert_eq!(second.digest(), Digest::of(&all), "{at}");
        }
        let mut within = Hasher::new();
        within.update(&all[..65]);
        assert!(within.put_aside().is_none());
        assert!(Hasher::take_up("no state", 64).is_none());
    }
}
