# SPDX-License-Identifier: BSD-2-Clause
# Sample configurations, installed as documentation: culvertd runs without a file.
dist_doc_DATA += etc/culvert.ini etc/culvert-strict.ini

# Completion in the shells.
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = etc/completion/culvertctl etc/completion/culvertd
zshcompletiondir = $(datadir)/zsh/site-functions
dist_zshcompletion_DATA = etc/completion/_culvertctl etc/completion/_culvertd
fishcompletiondir = $(datadir)/fish/vendor_completions.d
dist_fishcompletion_DATA = etc/completion/culvertctl.fish
