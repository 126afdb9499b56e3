"""The bit ledger: where every bit of a file went.

Bookkeeping is apart from decoding (as in Daala's accounting.h): whoever reads a part of a file records how many bits it
took, under the plane that it belongs to and the kind of thing that it is. All parts add up to the file's size.
"""

from collections import Counter

__all__ = ["FILE", "Ledger"]

FILE = "file"  # stands in the place of the plane for what belongs to none


class Ledger:
    """Bits by plane and kind.

    Attributes
    ----------
    bits : Counter of (plane, kind)
        Number of bits.
    """

    def __init__(self) -> None:
        self.bits: Counter[tuple[str, str]] = Counter()

    def record(self, plane: str, kind: str, bits: int) -> None:
        """Add bits to a plane and kind."""
        self.bits[plane, kind] += int(bits)

    @property
    def total(self) -> int:
        """All bits: 8 times the file's size."""
        return sum(self.bits.values())

    def by(self, part: int) -> Counter[str]:
        """Sum over planes (part 0) or kinds (part 1)."""
        sums: Counter[str] = Counter()
        for key, bits in self.bits.items():
            sums[key[part]] += bits
        return sums

    def __str__(self) -> str:
        """Return a table for people, the largest part first."""
        rows = [f"{'plane':8}{'kind':18}{'bits':>12}{'share':>9}"]
        for (plane, kind), bits in self.bits.most_common():
            rows.append(f"{plane:8}{kind:18}{bits:12,}{bits / max(1, self.total):9.2%}")
        return "\n".join([*rows, f"{'':8}{'total':18}{self.total:12,}{1:9.2%}"])
