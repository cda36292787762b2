# SPDX-License-Identifier: GPL-3.0-or-later
"""A project's generated secrets where it has a sealing key: in its ledger, sealed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from evtool.project import Project, Secret
    from evtool.provision.secrets.unit_secrets import UnitSecretStore


def sealed_secrets_of(project: Project) -> Callable[[str, bool], Secret | None]:
    """Finds, or makes, the secret that a label such as `CP-0001 authorization_key` names."""
    return _SealedSecrets(project).find


@dataclass(slots=True)
class _SealedSecrets:
    project: Project
    store: UnitSecretStore | None = None

    def find(self, label: str, create: bool) -> Secret | None:
        from evtool.project import SecretRef

        unit, _, name = label.partition(" ")
        store = self._opened(create)
        if store is None:
            return None
        ref = SecretRef("generate")
        return store.resolve(unit, name, ref) if create else store.look(unit, name, ref)

    def _opened(self, create: bool) -> UnitSecretStore | None:
        """The store, opened when the first secret is asked for and closed with the command.

        None where a look finds that nothing was ever sealed.
        """
        from evtool.cli.ledger_option import opened_ledger
        from evtool.cli.sealing_option import is_anything_sealed, open_sealed, unit_secrets

        place, where = self.project.provision.sealing_key, self.project.provision.ledger
        if self.store is not None or place is None:
            return self.store
        if not create and "://" not in where and not Path(where).is_file():
            return None
        with ExitStack() as stack:
            ledger = stack.enter_context(opened_ledger(None, self.project))
            if not create and not is_anything_sealed(ledger):
                return None
            sealed = open_sealed(ledger, place, self.project.root, create=create)
            context = click.get_current_context(silent=True)
            if context is not None:  # in a thread there is none; SQLAlchemy connects again
                context.call_on_close(stack.pop_all().close)
            self.store = unit_secrets(sealed, self.project.root)
        return self.store
