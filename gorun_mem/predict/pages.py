"""The page allocator of the Go heap: pageAlloc of mpagealloc.go and a P's pageCache.

Go searches a radix tree of summaries for the lowest run of free pages that is long enough. Here the
pages are a byte each, 1 for a free one, and the search is a search for a run of ones: the same
answer by other means, as the tree only makes the search fast. The scavenger's bits are left out:
giving pages back to the OS does nothing where memory has no protection.
"""

from __future__ import annotations

from typing import Final

GO_PAGE: Final = 8192
"""pageSize of malloc.go."""
CACHE_PAGES: Final = 64
"""pageCachePages of mpagecache.go."""
CACHED_MAX: Final = CACHE_PAGES // 4
"""Spans of fewer pages than this are tried from the P's cache first."""
_FREE: Final = b"\1"


class PageAlloc:
    """The free pages of the heap.

    Attributes:
        free_pages: how many there are.
    """

    __slots__ = ("_low", "_map", "free_pages")

    def __init__(self) -> None:
        self._map = bytearray()
        self._low = 0  # no page below is free: searchAddr
        self.free_pages = 0

    def __repr__(self) -> str:
        return f"<PageAlloc {self.free_pages} free>"

    def grow(self, base: int, size: int) -> None:
        """More address space, all of it free.

        Args:
            base: address.
            size: bytes.
        """
        end = (base + size) // GO_PAGE
        if end > len(self._map):
            self._map.extend(bytes(end - len(self._map)))
        self.free(base, size // GO_PAGE)

    def alloc(self, npages: int) -> int:
        """The lowest address of `npages` free pages in a row; 0 where there are none."""
        at = self._map.find(_FREE * npages, self._low)
        if at < 0:
            return 0
        self._map[at : at + npages] = bytes(npages)
        self.free_pages -= npages
        if at == self._low:
            self._low = at + npages
        return at * GO_PAGE

    def free(self, base: int, npages: int) -> None:
        """Give pages back."""
        at = base // GO_PAGE
        self._map[at : at + npages] = _FREE * npages
        self.free_pages += npages
        self._low = min(self._low, at)

    def to_cache(self) -> PageCache:
        """What is free of the 64 aligned pages around the lowest free one; allocToCache."""
        at = self._map.find(_FREE, self._low)
        if at < 0:
            return PageCache(0, bytearray())
        start = at - at % CACHE_PAGES
        pages = self._map[start : start + CACHE_PAGES]
        self._map[start : start + len(pages)] = bytes(len(pages))
        self.free_pages -= pages.count(1)
        self._low = start + CACHE_PAGES - 1
        return PageCache(start * GO_PAGE, pages)

    def flush(self, cache: PageCache) -> None:
        """Give back what is left of a cache; (*pageCache).flush."""
        for i, page in enumerate(cache.pages):
            if page:
                self.free(cache.base + i * GO_PAGE, 1)

    def whole(self, pages: int) -> int:
        """How many aligned groups of `pages` are free altogether."""
        free = _FREE * pages
        return sum(self._map[at : at + pages] == free for at in range(0, len(self._map), pages))


class PageCache:
    """pageCache: pages that a P owns and hands out without a lock.

    Args:
        base: address of the first.
        pages: a byte each, 1 for a free one.
    """

    __slots__ = ("base", "pages")

    def __init__(self, base: int, pages: bytearray) -> None:
        self.base = base
        self.pages = pages

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return 1 not in self.pages

    def alloc(self, npages: int) -> int:
        """The address of `npages` pages in a row; 0 where there are none."""
        at = self.pages.find(_FREE * npages)
        if at < 0:
            return 0
        self.pages[at : at + npages] = bytes(npages)
        return self.base + at * GO_PAGE
