"""A key/value cache in which every row of the batch has its own length.

Row r of each layer's buffer holds the keys (or values) of one sequence from column 0 on. Rows
are never shifted: a step writes each row's new column where that row ends, and the attention
mask hides what lies beyond. So a row's sums run over the same columns in the same order
whatever its neighbours' lengths, which is half of why a text does not depend on them (the
other half is `main.pin_arithmetic`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

# Attention reads columns in whole blocks, so that short rows are summed by the same vector
# code as long ones; buffers grow by doubling, in multiples of this.
COLUMN_BLOCK = 64
# A matrix product of fewer rows may go another way through MKL and end in other last bits (seen
# below 4 rows on AVX2, below 8 in its compatible mode). So no product here has fewer.
LEAST_ROWS = 8

# A prompt in a prefill: its row there, and its tokens.
Prompt = tuple[int, int]


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One attention layer: keys and values [rows, heads, columns, head_dim]."""

    is_sliding = False

    def __init__(self, owner: SlotCache) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.owner = owner

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Start with one row of one block; `reserve` makes it larger."""
        self.keys = key_states.new_zeros(1, key_states.shape[1], 0, key_states.shape[3])
        self.values = value_states.new_zeros(1, value_states.shape[1], 0, value_states.shape[3])
        self.is_initialized = True

    def reserve(self, rows: int, columns: int) -> None:
        """Have room for at least `rows` rows of `columns` columns."""
        assert self.keys is not None and self.values is not None
        self.keys = _grown(self.keys, rows, columns)
        self.values = _grown(self.values, rows, columns)

    def store(self, first: int, filled: CacheLayerMixin, prompts: Sequence[Prompt]) -> None:
        """Fill rows from `first` on with the keys and values of prompts that were read."""
        assert filled.keys is not None and filled.values is not None
        if not self.is_initialized:
            self.lazy_initialization(filled.keys, filled.values)
        # For all of them at once: row by row, a batch of 64 was copied seven times.
        self.reserve(first + len(prompts), max(length for _, length in prompts))
        assert self.keys is not None and self.values is not None
        for row, (index, length) in enumerate(prompts, first):
            self.keys[row, :, :length] = filled.keys[index, :, :length]
            self.values[row, :, :length] = filled.values[index, :, :length]

    def copy_row(self, source: int, target: int, length: int) -> None:
        """Copy a row's first `length` columns over another row's."""
        assert self.keys is not None and self.values is not None
        self.keys[target, :, :length] = self.keys[source, :, :length]
        self.values[target, :, :length] = self.values[source, :, :length]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one new column a row and return the columns in use (called by the model)."""
        assert self.keys is not None and self.values is not None
        rows, columns = self.owner.rows, self.owner.columns
        self.keys[rows, :, self.owner.positions] = key_states[:, :, 0]
        self.values[rows, :, self.owner.positions] = value_states[:, :, 0]
        count = rows.shape[0]
        return self.keys[:count, :, :columns], self.values[:count, :, :columns]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Key length and offset, for models that ask; the mask itself is given."""
        return self.owner.columns, 0

    def get_seq_length(self) -> int:
        """Columns in use before this step."""
        return self.owner.columns - 1

    def get_max_length(self) -> int:
        """No maximum."""
        return -1


class SlotCache(Cache):
    """All layers' rows, and where this step writes.

    Attributes:
        rows: [B], 0 to B-1, the rows that take part in this step; at least LEAST_ROWS.
        positions: [B], the column each of them writes: its length so far.
        columns: how many columns attention reads, a multiple of COLUMN_BLOCK.
    """

    def __init__(self, layer_count: int) -> None:
        super().__init__(layers=[SlotLayer(self) for _ in range(layer_count)])
        self.rows = torch.empty(0, dtype=torch.long)
        self.positions = torch.empty(0, dtype=torch.long)
        self.columns = 0

    def slot_layers(self) -> list[SlotLayer]:
        """The layers, with their type."""
        return [layer for layer in self.layers if isinstance(layer, SlotLayer)]

    def begin_step(self, positions: torch.Tensor, longest: int) -> torch.Tensor:
        """Make room for one column a row; the additive mask [B, 1, 1, columns] for it.

        Where there are fewer rows than LEAST_ROWS, empty ones fill up: B is then LEAST_ROWS.

        Args:
            positions: each row's length so far.
            longest: the largest of them, known without asking the device.
        """
        positions = fill_up(positions)
        self.positions = positions
        self.rows = torch.arange(positions.shape[0], device=positions.device)
        self.columns = -(-(longest + 1) // COLUMN_BLOCK) * COLUMN_BLOCK
        for layer in self.slot_layers():
            layer.reserve(positions.shape[0], self.columns)
        visible = torch.arange(self.columns, device=positions.device) <= positions[:, None]
        mask = torch.zeros(visible.shape, device=positions.device)
        return mask.masked_fill_(~visible, float("-inf"))[:, None, None, :]

    def store(self, first: int, prompt_cache: Cache, prompts: Sequence[Prompt]) -> None:
        """Take over the keys and values of prompts, into the rows from `first` on."""
        for layer, filled in zip(self.slot_layers(), prompt_cache.layers, strict=True):
            assert isinstance(filled, CacheLayerMixin)
            layer.store(first, filled, prompts)

    def copy_row(self, source: int, target: int, length: int) -> None:
        """Copy a row in every layer."""
        for layer in self.slot_layers():
            layer.copy_row(source, target, length)

    def release(self) -> None:
        """Give the memory back; nothing is running."""
        self.layers = [SlotLayer(self) for _ in self.layers]


def fill_up(values: torch.Tensor, least: int = LEAST_ROWS) -> torch.Tensor:
    """The vector [n] with zeros at its end, so that it has at least `least` elements."""
    missing = max(0, least - values.shape[0])
    return torch.nn.functional.pad(values, (0, missing)) if missing else values


def _grown(buffer: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The buffer itself when large enough, else a doubled copy of it."""
    have_rows, heads, have_columns, width = buffer.shape
    if rows <= have_rows and columns <= have_columns:
        return buffer
    new_rows = have_rows if rows <= have_rows else max(rows, 2 * have_rows)
    new_columns = have_columns
    if columns > have_columns:
        wanted = max(columns, 2 * have_columns)
        new_columns = -(-wanted // COLUMN_BLOCK) * COLUMN_BLOCK
    # Zeros, not empty: a masked NaN would still poison the sum.
    larger = buffer.new_zeros(new_rows, heads, new_columns, width)
    larger[:have_rows, :, :have_columns] = buffer
    return larger
