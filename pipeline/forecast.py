"""How long a run will take on this machine, from the speed of its first steps."""

import time
from collections.abc import Mapping

# What a position of the search costs, in units of the teacher's; measured on the stored scenes. In
# the other loops it costs about as much as the teacher's.
_WEIGHTS = {"StudentSearcher": 1.5}
_NAMES = {
    "TeacherTuner": "trials",
    "TeacherTrainer": "teacher",
    "StudentSearcher": "search",
    "StudentDistiller": "distillation",
}
# Loops of equal units: their own pace tells more of the rest than the first steps did.
_PACED = {
    "StudentSearcher": ("search", "candidates"),  # which are ranked after the last epoch
    "StudentDistiller": ("distillation",),
}
_SCORES_A_POSITION = 4_000  # that are ranked in the time of a teacher's position
_OTHER_SECONDS = 60.0  # of everything that does not train
_TOLD_AGAIN = 0.25  # where the remaining time differs by more from what was told
_LEAST_TOLD = 60.0  # seconds
_DAY = 86_400
_WARNING = (
    "WARNING: this run takes more than a day. To shorten it, stop it (Ctrl-C) and start it with "
    "--effort quick, with fewer epochs (--set training.max_epochs=..., "
    "distillation.max_epochs=...), or with fewer users (--set data.min_user_interactions=...)."
)


class Forecast:
    """The seconds that stages will take; it corrects itself as speeds are measured."""

    def __init__(self) -> None:
        self._positions: dict[str, float] = {}
        self._scores: dict[str, float] = {}
        self._speed = 0.0
        self._finished: set[str] = set()
        self._end = self._told_end = 0.0
        self._running, self._since = "", 0.0
        self._loop = ""
        self._first = 0.0, 0  # time and units of the running loop
        self._paced_end: float | None = None

    def plan(self, positions: Mapping[str, float], scores: Mapping[str, float]) -> None:
        """Takes what is to be done.

        Args:
          positions: by stage, each as often as it is trained on.
          scores: by stage, that are ranked when its training is over.
        """
        self._positions, self._scores = dict(positions), dict(scores)

    def measure(self, stage: str, positions_per_second: float) -> None:
        """Takes a speed.

        Args:
          stage: in which it was measured.
          positions_per_second: of its steps.
        """
        self._speed = positions_per_second * _WEIGHTS.get(stage, 1.0)

    def start(self, stage: str) -> None:
        """Takes a stage as running.

        Args:
          stage: of any kind.
        """
        self._running, self._since = stage, time.time()
        self._loop, self._paced_end = "", None

    def advance(self, loop: str, done: int, total: int) -> None:
        """Takes how far a loop of the running stage is.

        Args:
          loop: its name.
          done: units finished, of equal size.
          total: units in all.
        """
        if loop not in _PACED.get(self._running, ()):
            return
        now = time.time()
        if loop != self._loop:
            self._loop, self._first = loop, (now, done)
        start, first = self._first
        if done > first:
            rest = (now - start) / (done - first) * (total - done)
            is_last = loop == _PACED[self._running][-1]
            self._paced_end = now + rest + (0.0 if is_last else self._ranking(self._running))

    def finish(self, stage: str) -> None:
        """Takes a stage as done.

        Args:
          stage: of any kind.
        """
        self._finished.add(stage)

    def lines(self) -> list[str]:
        """The remaining stages and when all is done; nothing where nothing new is to be said.

        A stage that takes longer than its first steps promised counts no more.
        A run that takes more than a day is warned of.
        """
        if not self._positions or not self._speed:
            return []
        left = {
            stage: self._seconds(stage, positions)
            for stage, positions in self._positions.items()
            if stage not in self._finished and positions
        }
        seconds = {stage: its for stage, its in left.items() if its >= 0}
        if left and not seconds:
            self._end = 0.0
            return []
        remaining = sum(seconds.values()) + _OTHER_SECONDS
        self._end = time.time() + remaining
        if abs(self._end - self._told_end) < max(_TOLD_AGAIN * remaining, _LEAST_TOLD):
            return []
        self._told_end = self._end
        parts = ", ".join(f"{_NAMES[name]} {_duration(its)}" for name, its in seconds.items())
        forecast = f"Forecast: {parts}; {self.rest()}."
        return [forecast, _WARNING] if remaining > _DAY else [forecast]

    def rest(self) -> str:
        """When all is done, by what is known now; "" without a forecast, or past its end."""
        remaining = self._end - time.time()
        if remaining <= 0:
            return ""
        form = "%Y-%m-%d %H:%M" if remaining > _DAY else "%H:%M"
        at = time.strftime(form, time.localtime(self._end))
        return f"done in about {_duration(remaining)}, at {at}"

    def _seconds(self, stage: str, positions: float) -> float:
        """Those that a stage still takes; less than 0 if it should be over and is not."""
        if stage == self._running and self._paced_end is not None:
            return max(0.0, self._paced_end - time.time())
        whole = positions * _WEIGHTS.get(stage, 1.0) / self._speed + self._ranking(stage)
        return whole - (time.time() - self._since) if stage == self._running else whole

    def _ranking(self, stage: str) -> float:
        """Seconds that the ranking after a stage's training takes; 0 while no speed is known."""
        scores_per_second = _SCORES_A_POSITION * self._speed
        return self._scores.get(stage, 0.0) / scores_per_second if scores_per_second else 0.0


def _duration(seconds: float) -> str:
    """Seconds, minutes, hours or days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.1f} days"
