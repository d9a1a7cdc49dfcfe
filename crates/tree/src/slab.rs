//! Storage that grows by segments of fixed size: an insert never moves what is there.

const SHIFT: u32 = 12;
const SEGMENT: usize = 1 << SHIFT;

/// Items by number. Only the first segment, which may stay small, grows by doubling.
#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    segments: Vec<Vec<T>>,
    length: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { segments: vec![Vec::new()], length: 0 }
    }
}

impl<T> Slab<T> {
    /// How many numbers have been given out.
    #[inline]
    pub fn len(&self) -> u32 {
        self.length
    }

    /// Appends an item and gives its number.
    pub fn push(&mut self, item: T) -> u32 {
        let number = self.length;
        let segment = (number >> SHIFT) as usize;
        if segment == self.segments.len() {
            self.segments.push(Vec::with_capacity(SEGMENT));
        }
        self.segments[segment].push(item);
        // The highest number is kept free: it stands for "none".
        assert!(number < u32::MAX - 1, "a tree of 4 thousand million nodes");
        self.length = number + 1;
        number
    }

    /// All items, by number.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flatten()
    }

    #[inline]
    pub fn get(&self, number: u32) -> &T {
        &self.segments[(number >> SHIFT) as usize][number as usize & (SEGMENT - 1)]
    }

    #[inline]
    pub fn get_mut(&mut self, number: u32) -> &mut T {
        &mut self.segments[(number >> SHIFT) as usize][number as usize & (SEGMENT - 1)]
    }
}
