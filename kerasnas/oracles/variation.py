"""Variation: a candidate made from one or two others, as pure functions of assignments."""

from __future__ import annotations

import numpy as np

from kerasnas.oracles._oracle import Edit
from kerasnas.oracles.decisions import INACTIVE, Decisions, Row

__all__ = ["crossed", "edited", "mutated"]


def mutated(decisions: Decisions, row: Row, changes: int, rng: np.random.Generator) -> Row:
    """Change some decisions of a candidate.

    Which ones is drawn uniformly from those that are active and have more than one option.
    Each then goes one step as in `Decisions.neighbours`: to any other option where they are
    few or have no order, to a near or a far one where they are many. Decisions that become
    active by it are drawn, and those that no longer are fall away.

    Args:
        decisions: The decisions of the space.
        row: The assignment. What it lacks is drawn.
        changes: Number of decisions to change; all of them if there are fewer.
        rng: Draws which, and to what.

    Returns:
        A complete assignment. Only where a number has so many values that its code is a place
        on an interval may a small step lead back to the value that was there.
    """
    child = row.copy()
    free = [
        j
        for j, column in enumerate(decisions.columns)
        if row[j] != INACTIVE and column.count != 1
    ]
    for j in rng.permutation(free)[:changes].astype(int):
        child[j] = rng.choice(decisions.columns[j].moves(row[j], rng))
    completed: Row = decisions.completed(child[None], rng)[0]
    return completed


def edited(
    decisions: Decisions, row: Row, edit: Edit, count: int, rng: np.random.Generator
) -> Row:
    """Change a candidate as its space knows to.

    Args:
        decisions: The decisions of the space.
        row: The assignment.
        edit: Makes one small change.
        count: Number of changes, one after the other.
        rng: Draws them, and decisions that they leave open.

    Returns:
        A complete assignment, the one that was there if the changes lead back to it.
    """
    values = decisions.values(row)
    for _ in range(count):
        values = edit(values, rng)
    changed: Row = decisions.completed(decisions.encode([values]), rng)[0]
    return changed


def crossed(decisions: Decisions, one: Row, other: Row, rng: np.random.Generator) -> Row:
    """Mix two candidates: uniform crossover.

    Each decision is that of one of the two, with even odds; where only one of them has it, it
    is that one's. What is not active in the mixture falls away, and what is, though neither
    has it, is drawn, as for trials older than the decision.

    Args:
        decisions: The decisions of the space.
        one: An assignment.
        other: Another one.
        rng: Draws whose decision is taken.

    Returns:
        A complete assignment.
    """
    mixed = np.where(rng.random(len(one)) < 0.5, one, other)
    mixed = np.where(mixed == INACTIVE, np.maximum(one, other), mixed)
    completed: Row = decisions.completed(mixed[None], rng)[0]
    return completed
