"""The interaction: from what people seem to do, and a policy, to what the robot is to do now.

Pure: told of messages, asked some fifty times a second, no clock of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..wire import AnyMessage, End, Event, Glimpse, Lost, Named, Taught, Tracks
from .policy import ANYONE, ANYTHING, ARRIVE, FALL, IN_FRONT, NEAREST, UNKNOWN, InteractionPolicy, Rule
from .robot import Command
from .seen import Somebody, Surroundings

_FALLS_BELOW = 0.5  # what was probable enough goes on until its probability is below this share of it

Key = tuple[str, int]  # camera, track


@dataclass
class _Evidence:
    """What speaks for a rule, of one person: since when it holds on the camera's clock, if it does."""

    since_t: float | None = None

    def hear(self, probability: float, enough: float, t: float) -> None:
        if probability >= enough:
            self.since_t = t if self.since_t is None else self.since_t
        elif probability < _FALLS_BELOW * enough:
            self.since_t = None


@dataclass(frozen=True)
class Answer:
    """What the robot does, and why. `moved_first_at`: when the person who is answered began to move (Unix seconds)."""

    command: Command
    rule: Rule | None = None
    because: str = ""
    camera: str = ""
    track: int | None = None
    moved_first_at: float | None = None


@dataclass
class _Acting:
    answer: Answer
    key: Key
    began: float
    held_at: float  # when its cause was last there


class Interaction:
    """`classes` are the model's, the background first. Times `now` are seconds on a clock that only grows."""

    def __init__(self, policy: InteractionPolicy, classes: Sequence[str]) -> None:
        self._policy, self._own_classes = policy, tuple(classes)
        self._classes = self._own_classes
        self._around = Surroundings(policy.camera)
        self._evidence: dict[tuple[int, Key], _Evidence] = {}
        self._rests_until: dict[tuple[int, Key], float] = {}
        self._acting: _Acting | None = None
        self._number = 0

    def hear(self, message: AnyMessage) -> None:
        """Take in what is seen and said."""
        match message:
            case Tracks():
                joints, seen = message.joints.astype("f8"), message.confidence > 0
                people = {track: (joints[i], seen[i]) for i, track in enumerate(message.ids)}
                self._around.see(message.camera, people, message.t, message.captured_at)
                self._forget()
            case Glimpse():
                self._glimpse(message)
            case Event():
                self._decided(message)
            case Lost() | End():
                self._around.lose(message.camera)
                self._forget()
            case Named():
                self._around.call(message.camera, message.track, message.name)
            case Taught():
                self._classes = (*self._own_classes, *message.actions)

    def turn(self, now: float) -> Answer:
        """What to do now."""
        acting = self._acting
        if acting is not None and self._is_over(acting, now):
            acting = self._acting = None
        best = self._best(now)
        if best is not None and (acting is None or self._interrupts(*best, acting)):
            acting = self._begin(*best, now)
        if acting is None:
            return Answer(Command(self._number))
        somebody = self._around.people.get(acting.key)
        command = acting.answer.command
        return replace(acting.answer, command=replace(command, person=somebody.person if somebody else command.person))

    def _glimpse(self, glimpse: Glimpse) -> None:
        key = (glimpse.camera, glimpse.track)
        if key not in self._around.people or len(glimpse.probabilities) > len(self._classes):
            return
        for number, rule in enumerate(self._policy.rules):
            if not rule.sure:
                evidence = self._evidence.setdefault((number, key), _Evidence())
                evidence.hear(self._probability(rule, glimpse), rule.confidence, glimpse.t)

    def _probability(self, rule: Rule, glimpse: Glimpse) -> float:
        if ANYTHING in rule.when:
            return 1 - float(glimpse.probabilities[0])
        shares = zip(self._classes, glimpse.probabilities.tolist(), strict=False)
        return float(sum(share for name, share in shares if name in rule.when))

    def _decided(self, event: Event) -> None:
        somebody = self._around.people.get((event.camera, event.track))
        if somebody is None:
            return
        over = event.kind == "end"
        somebody.doing, somebody.doing_since = ("" if over else event.action), event.t_start
        somebody.confidence = event.confidence

    def _lasts_s(self, number: int, rule: Rule, key: Key, somebody: Somebody) -> float | None:
        """For how long somebody has given cause for a rule; None if they do not."""
        lasts = []
        evidence = self._evidence.get((number, key))
        if evidence is not None and evidence.since_t is not None:
            lasts.append(max(somebody.t - evidence.since_t, 0.0))
        if self._is_decided(rule, somebody):
            lasts.append(somebody.t - somebody.doing_since)
        if FALL in rule.when and (lies_s := somebody.lies_for_s()) > 0:
            lasts.append(lies_s)
        if ARRIVE in rule.when and somebody.t - somebody.since_t < max(2 * rule.lasting, 2.0):
            lasts.append(somebody.t - somebody.since_t)
        return max(lasts, default=None)

    def _is_decided(self, rule: Rule, somebody: Somebody) -> bool:
        """Whether what somebody does was decided to be what the rule waits for."""
        if somebody.doing == UNKNOWN:
            return UNKNOWN in rule.when
        asked = somebody.doing in rule.when or (ANYTHING in rule.when and somebody.doing != "")
        return rule.sure and asked and somebody.confidence >= rule.confidence

    def _holds(self, number: int, rule: Rule, key: Key, somebody: Somebody) -> bool:
        lasts_s = self._lasts_s(number, rule, key, somebody)
        return lasts_s is not None and lasts_s >= rule.lasting and self._is_meant(rule, somebody)

    def _is_meant(self, rule: Rule, somebody: Somebody) -> bool:
        if rule.who == ANYONE:
            return True
        if rule.who == NEAREST:
            return self._around.nearest() is somebody
        if rule.who == IN_FRONT:
            front = self._policy.front
            return somebody.away_m <= front.within and somebody.aside_deg <= front.angle
        return somebody.name == rule.who

    def _best(self, now: float) -> tuple[int, Rule, Somebody] | None:
        """The rule to follow, and whom it is for: the highest priority, then the nearest person."""
        acting = self._acting
        found: list[tuple[int, float, int, Rule, Somebody]] = []
        for number, rule in enumerate(self._policy.rules):
            for key, somebody in self._around.people.items():
                if not self._holds(number, rule, key, somebody):
                    continue
                if acting is not None and acting.answer.rule is rule and acting.key == key:
                    acting.held_at = now
                elif now >= self._rests_until.get((number, key), 0.0):
                    found.append((-rule.priority, somebody.away_m, number, rule, somebody))
        if not found:
            return None
        _, _, number, rule, somebody = min(found, key=lambda one: one[:3])
        return number, rule, somebody

    def _interrupts(self, number: int, rule: Rule, somebody: Somebody, acting: _Acting) -> bool:
        other = acting.answer.rule
        assert other is not None
        return rule.priority > other.priority or bool(set(rule.interrupts) & set(other.do))

    def _is_over(self, acting: _Acting, now: float) -> bool:
        rule = acting.answer.rule
        assert rule is not None
        if rule.lasts_s is not None:
            return now - acting.began >= rule.lasts_s
        return now - acting.held_at > rule.hold

    def _begin(self, number: int, rule: Rule, somebody: Somebody, now: float) -> _Acting:
        key = (somebody.camera, somebody.track)
        self._number += 1
        self._rests_until[number, key] = now + (rule.lasts_s or 0.0) + rule.cooldown
        who = somebody.name or f"person {somebody.track}"
        answer = Answer(
            command=Command(self._number, rule.do, somebody.person), rule=rule, because=f"{who}: {rule.name}",
            camera=somebody.camera, track=somebody.track, moved_first_at=somebody.moved_first_at(),
        )  # fmt: skip
        self._acting = _Acting(answer, key, began=now, held_at=now)
        return self._acting

    def _forget(self) -> None:
        """Whoever has gone takes what was known of them along."""
        people = self._around.people
        for known in (self._evidence, self._rests_until):
            for gone in [both for both in known if both[1] not in people]:
                del known[gone]
