# bash completion of PROGRAM: the program itself says what may come next.
_PROGRAM_complete() {
	local found line
	found=$("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
	COMPREPLY=()
	if [ "$found" = :files ]; then
		compopt -o default
		return
	fi
	while IFS= read -r line; do
		[ -n "$line" ] && COMPREPLY+=("${line%%$'\t'*}")
	done <<<"$found"
}
complete -F _PROGRAM_complete PROGRAM
