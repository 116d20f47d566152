// Package bench measures Stockade and, where they are installed, its peers on the same bytes in
// one run: matching against fail2ban-regex and sshg-parser, receiving against rsyslogd and against
// readers that only count. Each subject is a process of its own, and what is compared is the user
// and system time that the kernel accounts to it, so that the ratios hold on a busy machine; rates
// and latencies do not.
//
// Subjects take turns, repetition by repetition. Processes that live for one input are charged for
// what they need beyond an empty one; daemons for what they need from the first line on. Nothing
// leaves the loopback interface; a measurement that needs the kernel's firewall runs in a network
// namespace of its own.
package bench
