"""Names of resources and operations in the completion scripts, which cyclopts makes without them.

The names stand in the script itself: asking the program for them would start Python at every Tab.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from vismanet_async._api.registry import registry
from vismanet_async._cli.logs import LOG_FLAGS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["names_of", "with_names"]

_EVERY: Final = frozenset({"export"})
"""Commands that take any number of names; the others take one."""


def names_of() -> dict[str, list[str]]:
    """Return the names that each command takes, by its words."""
    methods = {resource: facts["methods"] for resource, facts in registry()["resources"].items()}
    operations = [f"{resource}.{name}" for resource, found in methods.items() for name in found]
    bodies = [f"{resource}.{name}" for resource, found in methods.items() for name in found if found[name].get("body")]
    return {
        "export": [name for name, found in methods.items() if _exported(found.get("list"))],
        "call": operations,
        "jobs submit": [
            f"{resource}.{name}" for resource, found in methods.items() for name in found if found[name]["background"]
        ],
        "load": [name for name, found in methods.items() if "create" in found] + bodies,
        "release": [name for name, found in methods.items() if "release" in found],
        "resources": [*methods, *operations],
    }


def _exported(facts: Mapping[str, object] | None) -> bool:
    return facts is not None and facts["call"] == "list" and not facts.get("ids")


def with_names(script: str, shell: str) -> str:
    """Return a script that also completes the names.

    Args:
        script: as cyclopts makes it.
        shell: bash, zsh or fish.
    """
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](script, names_of())


def _bash(script: str, names: Mapping[str, list[str]]) -> str:
    found = re.search(r"options_with_values='([^']*)'", script)
    assert found is not None, "cyclopts writes its scripts in another way"
    cases = "\n".join(f"    '{command}') names='{' '.join(words)}' ;;" for command, words in names.items())
    every = "|".join(sorted(_EVERY))
    added = f"""
_vismanet() {{
  _vismanet_words "$@"
  local cur="${{COMP_WORDS[COMP_CWORD]}}" word prev="" command="" names="" i place=0
  if [[ "$cur" == -* ]]; then
    COMPREPLY+=($(compgen -W '{" ".join(LOG_FLAGS)}' -- "$cur"))
    return
  fi
  local takes_value=' {found[1]} --log-format --log-level '
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${{COMP_WORDS[i]}}"
    if [[ "$word" != -* && "$takes_value" != *" $prev "* ]]; then
      if [[ -z "$command" ]]; then command="$word"
      elif [[ "$command" == jobs || "$command $word" == "export compact" ]]; then command="$command $word"
      else place=$((place + 1)); fi
    fi
    prev="$word"
  done
  case "$prev" in
    --log-format) COMPREPLY=($(compgen -W 'text json' -- "$cur")) ;;
    --log-level) COMPREPLY=($(compgen -W 'debug info warning error' -- "$cur")) ;;
  esac
  [[ "$takes_value" == *" $prev "* ]] && return
  case "$command" in {every}) ;; *) [[ $place -gt 0 ]] && return ;; esac
  case "$command" in
{cases}
    *) return ;;
  esac
  COMPREPLY+=($(compgen -W "$names" -- "$cur"))
}}

complete -F _vismanet vismanet
"""
    head, _, _ = script.replace("\n_vismanet() {", "\n_vismanet_words() {").rpartition(
        "\ncomplete -F _vismanet vismanet"
    )
    assert head, "cyclopts writes its scripts in another way"
    return head + added


_ZSH: Final = {
    "export": r"'\*:What to export",
    "call": r"'1:RESOURCE\.METHOD, such as customer\.get",
    "jobs submit": r"'1:RESOURCE\.METHOD, such as supplier",
    "load": r"'1:RESOURCE, which is created",
    "release": r"'1:What to release",
    "resources": r"'1:A resource such as",
}
"""How the line of a command's first argument begins."""


def _zsh(script: str, names: Mapping[str, list[str]]) -> str:
    for command, beginning in _ZSH.items():
        script, count = re.subn(
            rf"^( *{beginning}.*)' \\$",
            lambda found, words=names[command]: f"{found[1]}:({' '.join(words)})' \\",  # type: ignore[misc]  # a default
            script,
            flags=re.MULTILINE,
        )
        # older ones have no line for the arguments of a command that has commands below it
        assert count == 1 or command == "export", f"cyclopts writes the arguments of {command} in another way"
    return script


def _fish(script: str, names: Mapping[str, list[str]]) -> str:
    lines = []
    for command, words in names.items():
        lines.append(f"complete -c vismanet -f -n '__fish_vismanet_using_command {command}' -a '{' '.join(words)}'")
    lines += [f"complete -c vismanet -f -l {flag.removeprefix('--')}" for flag in LOG_FLAGS]
    return "\n".join([script.rstrip("\n"), "", "# Names of resources and operations", *lines, ""])
