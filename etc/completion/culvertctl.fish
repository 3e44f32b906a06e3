# SPDX-License-Identifier: BSD-2-Clause
# Completion of culvertctl in fish: culvertctl says which words may stand there.
function __culvertctl_words
	set -l words (commandline -opc)
	set -l word (commandline -ct)

	$words[1] --complete $words[2..-1] "$word" 2>/dev/null
	or __fish_complete_path $word
end
complete -c culvertctl -f -a '(__culvertctl_words)'
