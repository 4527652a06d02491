# fish completion of PROGRAM: the program itself says what may come next.
function __PROGRAM_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -l found ($words[1] __complete $words[2..-1] "$last" 2>/dev/null)
    if test "$found" = ":files"
        __fish_complete_path "$last"
    else
        string join -- \n $found
    end
end
complete -c PROGRAM -f -a '(__PROGRAM_complete)'
