# bash completion for polyctl: the binary knows its verbs, options and the symbols of the instance.
_polyctl() {
    local IFS=$'\n'
    # A colon (X:BTCUSD) or an equals sign is part of the word here, whatever COMP_WORDBREAKS says.
    local line=${COMP_LINE:0:COMP_POINT} words
    read -ra words -d '' <<<"${line// /$IFS}"
    [[ $line == *" " ]] && words+=("")
    COMPREPLY=($("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null))
    local last=${words[${#words[@]} - 1]} head
    head=${last%"${last##*[:=]}"}
    [[ -n $head && $COMP_WORDBREAKS == *[:=]* ]] && COMPREPLY=("${COMPREPLY[@]#"$head"}")
}
complete -F _polyctl polyctl
