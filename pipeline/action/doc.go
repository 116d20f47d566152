// Package action runs fail2ban's action files for those who need one: commands of a shell that tell
// another service of a ban.
//
// An action belongs to jails and hears of their bans after these are in force; it is never on the way
// of one. Each pair of action and jail has a queue and a goroutine of its own. Commands run as children
// in process groups of their own, as nobody unless another user is named, with a time limit, and only
// where the configuration says allow_shell_actions: true.
//
// # What a shell sees
//
// The text of a command is the action file's, with the parameters that the administrator gave. Of a ban
// it gets addresses, numbers and times as text, because these are made here and hold no character that
// means anything to a shell. What a log line said (matches, names of users) is never part of a command:
// the tag becomes a reference to an environment variable, quoted as its place in the command needs it,
// and where a command hands its arguments to another interpreter (eval, sed, awk, sh -c and the like) the
// variable holds letters, digits and a few marks only. A tag at a place where no reference can stand, such
// as the name of a command, is refused when the file is read.
//
// All exported methods may be called concurrently.
package action
