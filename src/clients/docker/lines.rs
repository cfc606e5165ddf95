//! Lines of a stream of JSON, bounded.
//!
//! In: chunks. Out: lines. Pure.

/// The longest line: a progress message or an event with many labels.
const LINE_BYTES_MAX: usize = 256 << 10;

/// What has come of a stream and was not read yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Adds a chunk.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), String> {
        self.pending.extend_from_slice(chunk);
        let tail = self.pending.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if self.pending.len() - tail > LINE_BYTES_MAX {
            return Err(format!("a line is over the limit of {LINE_BYTES_MAX} bytes"));
        }
        Ok(())
    }

    /// The next whole line that is not blank.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let end = self.pending.iter().position(|b| *b == b'\n')?;
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            let line = line.trim_ascii();
            if !line.is_empty() {
                return Some(line.to_vec());
            }
        }
    }

    /// Whether nothing is left but blanks.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.trim_ascii().is_empty()
    }

    /// What came after the last line's end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pending).trim_ascii().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use crate::clients::docker::lines::Lines;

    #[test]
    fn lines_are_put_together_from_chunks() {
        let mut lines = Lines::default();
        lines.push(b"{\"a\":").unwrap();
        assert_eq!(lines.next(), None);
        lines.push(b"1}\r\n\r\n{}\n{").unwrap();
        assert_eq!(lines.next().unwrap(), b"{\"a\":1}");
        assert_eq!(lines.next().unwrap(), b"{}");
        assert_eq!(lines.next(), None);
        assert_eq!(lines.rest(), b"{");
        assert!(lines.push(&vec![b'x'; 300 << 10]).is_err());
    }
}
