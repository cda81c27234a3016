"""The scripts that `rootlay completion SHELL` prints. Each asks `rootlay __complete -- WORD…` for candidates.

The last word is the one to complete, and may be empty. A first line `:files` asks the shell to complete names of files.
"""

from __future__ import annotations

BASH = r"""# rootlay completion bash: source it, or write it to ~/.local/share/bash-completion/completions/@NAME@
_rootlay_complete() {
  local line=${COMP_LINE:0:COMP_POINT} words current prefix
  read -ra words <<<"$line"
  case $line in *[[:space:]]) words+=("") ;; esac
  current=${words[${#words[@]}-1]}
  local IFS=$'\n'
  COMPREPLY=($(@NAME@ __complete -- "${words[@]:1}" 2>/dev/null))
  if [ "${COMPREPLY[0]-}" = :files ]; then
    COMPREPLY=()
    compopt -o default
    return
  fi
  # Readline replaces what follows the last : or = only (COMP_WORDBREAKS).
  prefix=
  case $current in *[:=]*) prefix=${current%"${current##*[:=]}"} ;; esac
  COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
  case ${COMPREPLY[0]-} in */ | *: | *=) compopt -o nospace ;; esac
}
complete -F _rootlay_complete @NAME@
"""

ZSH = r"""#compdef @NAME@
# rootlay completion zsh: source it after compinit, or write it to a directory of fpath as _@NAME@
_@NAME@() {
  local -a found
  found=("${(@f)$(@NAME@ __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [ "${found[1]}" = :files ]; then
    _files
    return
  fi
  local -a whole begun
  for word in $found; do
    case $word in */ | *: | *=) begun+=("$word") ;; ?*) whole+=("$word") ;; esac
  done
  compadd -a whole
  compadd -S '' -a begun
}
compdef _@NAME@ @NAME@
"""

FISH = r"""# rootlay completion fish: source it, or write it to ~/.config/fish/completions/@NAME@.fish
function __rootlay_complete
  set -l words (commandline -opc)
  set -l found (@NAME@ __complete -- $words[2..-1] (commandline -ct) 2>/dev/null)
  if test "$found[1]" = :files
    __fish_complete_path (commandline -ct)
    return
  end
  printf '%s\n' $found
end
complete -c @NAME@ -f -a '(__rootlay_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
"""The script of each shell, with @NAME@ for the name of the command."""
