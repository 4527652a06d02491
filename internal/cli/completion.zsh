#compdef PROGRAM
# zsh completion of PROGRAM: the program itself says what may come next.
_PROGRAM() {
	local -a found described
	local line
	found=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ "${found[1]}" == :files ]]; then
		_files
		return
	fi
	for line in "${found[@]}"; do
		[[ -n "$line" ]] && described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
	done
	_describe PROGRAM described
}
if [[ "${funcstack[1]}" == _PROGRAM ]]; then
	_PROGRAM "$@"
else
	compdef _PROGRAM PROGRAM
fi
