"""What the formats of an item table keep, number by number: nothing shared with the library."""


def rounded_row(row: list[float], num_steps: int) -> list[float]:
    """A row after its numbers were rounded to so many steps either side of zero."""
    largest = max(abs(number) for number in row)
    if largest == 0:
        return [0.0] * len(row)
    step = largest / num_steps
    return [round(number / step) * step for number in row]
