// Package kernel tests what the daemon's bans become in the kernel: through kill -9, foreign
// flushes, floods of new bans, and beside fail2ban. It has tests only. They run the built program
// in network namespaces of their own, so they need root; -long runs the long forms.
package kernel
