# ssecast.bash - completion of ssecast and its other programs in bash.
#
# What can be completed is read from the programs' own --help, so it is never older than they are.

# The options and flags in a help text.
_ssecast_names() {
    sed -nE 's/^  (-[A-Za-z], )?(--[a-z-]+).*/\2/p' <<<"$1"
}

# How a help text names the value of option $2: FILE, LEVEL, ... Nothing when it takes none.
_ssecast_value() {
    sed -nE "s/^  (-[A-Za-z], )?$2 ([A-Z]+|'[^']*').*/\\2/p" <<<"$1"
}

# The commands in a help text.
_ssecast_commands() {
    sed -nE '/^Commands:/,/^$/s/^  ([a-z-]+) .*/\1/p' <<<"$1"
}

# The command on the line before the cursor, given the help of the program.
_ssecast_command() {
    local i word
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word != -* ]]; then
            echo "$word"
            return
        elif [[ ${COMP_WORDS[i + 1]} == "=" ]]; then
            ((i += 2))
        elif [[ -n $(_ssecast_value "$1" "$word") ]]; then
            ((i += 1))
        fi
    done
}

# Values of the kind $1 that begin with $2.
_ssecast_complete_value() {
    case $1 in
    FILE | SOCKET | PLACE | KEY)
        mapfile -t COMPREPLY < <(compgen -f -- "$2") && compopt -o filenames 2>/dev/null ;;
    ROLE) mapfile -t COMPREPLY < <(compgen -W 'publisher operator worker broker' -- "$2") ;;
    LEVEL) mapfile -t COMPREPLY < <(compgen -W 'error warn info debug' -- "$2") ;;
    SOURCE)
        mapfile -t COMPREPLY < <(compgen -W 'query: cookie: header: env: remote-user jwt' -- "$2") \
            && compopt -o nospace 2>/dev/null ;;
    esac
}

_ssecast() {
    local program=$1 word=$2 before=$3 help command="" value
    COMPREPLY=()
    if [[ $word == "=" ]]; then # --name=
        word=""
    elif [[ $before == "=" ]]; then # --name=va
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    help=$("$program" --help 2>/dev/null) || return
    if [[ ${program##*/} == ssecast ]]; then
        command=$(_ssecast_command "$help")
    fi
    if [[ -n $command ]]; then
        help=$("$program" "$command" --help 2>/dev/null) || return
    fi
    if [[ $before == --* ]]; then
        value=$(_ssecast_value "$help" "$before")
    fi
    if [[ -n $value ]]; then
        _ssecast_complete_value "$value" "$word"
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_ssecast_names "$help")" -- "$word")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_ssecast_commands "$help")" -- "$word")
    fi
}

complete -F _ssecast ssecast ssecast-broker ssecast-fcgi ssecast-pgsql ssecast-mqtt
