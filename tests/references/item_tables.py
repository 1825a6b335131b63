"""What the formats of an item table keep, number by number: nothing shared with the library."""


def rounded_row(row: list[float], num_steps: int) -> list[float]:
    """A row after its numbers were rounded to so many steps either side of zero."""
    largest = max(abs(number) for number in row)
    if largest == 0:
        return [0.0] * len(row)
    step = largest / num_steps
    return [round(number / step) * step for number in row]


def coded_row(codes: list[int], codebooks: list[list[list[float]]]) -> list[float]:
    """The vectors that the codes choose, one after the other."""
    row: list[float] = []
    for code, codebook in zip(codes, codebooks, strict=True):
        row.extend(codebook[code])
    return row
