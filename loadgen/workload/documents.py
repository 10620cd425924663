"""JSON documents: a template's documents are made once, some thousand each.

A document is one of these, with a new uuid in the place of the template's first one, and
padding that begins at a drawn word. That costs a fraction of making up its values.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from loadgen.workload.makers import Maker, ValueMaker, prose
from loadgen.workload.model import Array, Generator, Json, Uuid, Value
from loadgen.workload.streams import Int64Array, Stream
from loadgen.workload.typed import (
    Cut,
    Documents,
    Instants,
    Nullable,
    Picks,
    Pool,
    Scaled,
    Texts,
    Truth,
    Typed,
    Whole,
    filled,
    not_null,
    rows_of,
)

DOCUMENTS: Final = 4096  # of all templates together
_OWN: Final = b"\0own\0"  # the place of a document's own uuid; JSON has no such byte
_UUID_BYTES: Final = 36
_PADDING: Final = b',"padding":"'
_END: Final = b'"}'

# Makes the maker of a generator at a place in a template.
PartMaker = Callable[[Generator, str], ValueMaker]


@dataclass(frozen=True, slots=True)
class _Made:
    """The documents of all templates in two parts, before and after their uuid."""

    heads: Pool
    tails: Pool
    padding: Int64Array  # bytes of padding of each

    @classmethod
    def of(cls, texts: Sequence[str], pad_to: int) -> "_Made":
        """Return the parts of `texts`, without the end of their padding if they get one."""
        padding = np.zeros(len(texts), np.int64)
        encoded = [text.encode() for text in texts]
        if pad_to:
            encoded = [
                text[:-1] + (_PADDING if text != b"{}" else _PADDING[1:]) for text in encoded
            ]
            uuids = [(_UUID_BYTES - len(_OWN)) * (_OWN in text) for text in encoded]
            sizes = [len(text) + len(_END) for text in encoded]
            padding = np.maximum(pad_to - np.array(sizes) - np.array(uuids), 0)
        parts = [text.rpartition(_OWN) for text in encoded]
        return cls(Pool(head for head, _, _ in parts), Pool(tail for _, _, tail in parts), padding)


def documents(
    generator: Json, pad_to: int, by: ValueMaker | None, part: PartMaker, stream: Stream
) -> Maker:
    """Return the maker of documents of `pad_to` bytes, or more if their values need more."""
    names = tuple(generator.templates)
    each = max(1, DOCUMENTS // len(names))
    if not all(isinstance(template, Mapping) for template in generator.templates.values()):
        pad_to = 0  # only an object has room for padding
    own_places = {name: _first_uuid(generator.templates[name], f"${name}") for name in names}
    with_own = all(own_places.values())
    made = _Made.of(
        [
            text
            for name in names
            for text in _Rendering(each, part, own_places[name] if with_own else None).texts(
                generator.templates[name], f"${name}"
            )
        ],
        pad_to,
    )
    own = part(Uuid(), "own") if with_own else None
    words = prose(int(made.padding.max(initial=0))) if pad_to else None
    group, starts = _groups(names, by), stream.part("padding")

    def typed(indexes: Int64Array) -> Documents:
        picks = group(indexes) * each + stream.below(indexes, each)
        parts: list[Texts | Cut] = []
        if own is not None:
            parts += [made.heads.part(picks), not_null(own.typed(indexes)).texts()]
        parts.append(made.tails.part(picks))
        if words is not None:
            padding = words.cut(starts.bits(indexes), made.padding[picks])
            parts += [padding, filled(len(indexes), _END)]
        return Documents(parts)

    return Maker(typed)


def _groups(names: Sequence[str], by: ValueMaker | None) -> Callable[[Int64Array], Int64Array]:
    """Return a function from indexes to the number of the template that `by` chooses."""
    if by is None:
        return lambda indexes: np.zeros(len(indexes), np.int64)
    chosen = not_null(by.typed(np.zeros(1, np.int64)))
    if not isinstance(chosen, Picks):
        raise TypeError("templates are chosen by a column that is a choice")
    other = names.index("") if "" in names else 0
    texts = [text.decode() for text in chosen.pool.entries]
    numbers = np.array([names.index(text) if text in names else other for text in texts])

    def group(indexes: Int64Array) -> Int64Array:
        picks = not_null(by.typed(indexes))
        return numbers[picks.picks] if isinstance(picks, Picks) else np.zeros_like(indexes)

    return group


def _children(node: object) -> Iterator[tuple[str, object]]:
    if isinstance(node, Mapping):
        yield from ((f".{key}", value) for key, value in node.items())
    elif isinstance(node, list | tuple):
        yield from ((f"[{i}]", value) for i, value in enumerate(node))


def _first_uuid(node: object, place: str) -> str | None:
    """Return the place of the first uuid in a template that is never null."""
    if isinstance(node, Uuid) or (
        isinstance(node, Value) and isinstance(node.generator, Uuid) and not node.null_share
    ):
        return place
    places = (_first_uuid(child, place + step) for step, child in _children(node))
    return next((place for place in places if place), None)


class _Rendering:
    """The JSON of `n` documents of one template; `own` is the place of their uuid."""

    def __init__(self, n: int, part: PartMaker, own: str | None) -> None:
        self._n, self._part, self._own = n, part, own

    def texts(self, node: object, place: str) -> list[str]:  # noqa: PLR0911 - a case for each node
        """Return the JSON of the node at `place` in each document."""
        if isinstance(node, Mapping):
            names = [f"{json.dumps(str(key), ensure_ascii=False)}:" for key in node]
            return self._joined(node, place, names, ("{", "}"))
        if isinstance(node, list | tuple):
            return self._joined(node, place, [""] * len(node), ("[", "]"))
        if place == self._own:
            return [f'"{_OWN.decode()}"'] * self._n
        if isinstance(node, Value):
            values = self.texts(node.generator, place)
            if not node.null_share:
                return values
            nulls = Stream(f"nulls of {place}").share(np.arange(self._n), node.null_share).tolist()
            return ["null" if null else v for v, null in zip(values, nulls, strict=True)]
        if isinstance(node, Array):
            return self._array(node, place)
        if isinstance(node, Generator):
            return json_texts(self._part(node, place).typed(np.arange(self._n)))
        return [json.dumps(node, ensure_ascii=False)] * self._n

    def _joined(
        self, node: object, place: str, names: Sequence[str], brackets: tuple[str, str]
    ) -> list[str]:
        columns = [self.texts(child, place + step) for step, child in _children(node)]
        return [
            ",".join([a + b for a, b in zip(names, row, strict=True)]).join(brackets)
            for row in (zip(*columns, strict=True) if columns else [()] * self._n)
        ]

    def _array(self, node: Array, place: str) -> list[str]:
        elements = _Rendering(self._n * node.most, self._part, None).texts(
            node.element, f"{place}[]"
        )
        counts = Stream(f"array of {place}").below(np.arange(self._n), node.most - node.fewest + 1)
        starts = range(0, self._n * node.most, node.most) if node.most else [0] * self._n
        sizes = (counts + node.fewest).tolist()
        rows = zip(starts, sizes, strict=True)
        return [f"[{','.join(elements[at : at + size])}]" for at, size in rows]


def json_texts(typed: Typed) -> list[str]:
    """Return values as JSON has them."""
    if isinstance(typed, Nullable):
        nulls = typed.nulls.tolist()
        return ["null" if n else v for v, n in zip(json_texts(typed.values), nulls, strict=True)]
    if isinstance(typed, Whole):
        return [str(number) for number in typed.numbers.tolist()]
    texts = [text.decode() for text in rows_of(typed.texts())]
    if isinstance(typed, Truth):
        return ["true" if flag else "false" for flag in typed.flags.tolist()]
    if isinstance(typed, Scaled):
        return [format(Decimal(text), "f") for text in texts]
    if isinstance(typed, Documents):
        return texts
    if isinstance(typed, Instants) and typed.form != "date":
        texts = [text.replace(" ", "T").replace("+00", "Z") for text in texts]
    return [json.dumps(text, ensure_ascii=False) for text in texts]
