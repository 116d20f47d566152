// Package replay runs configurations against history: log files, compressed ones, streams and
// journal exports, in the lines' own time, and says which bans would have been.
//
//	file ─► reader: blocks ─► decoders ─► sequencer ─► matchers ─┐
//	file ─► …                                                    ├─► merger ─► counter, one a policy
//	file ─► …                                                  ──┘
//
// Lines are decoded and matched in parallel and counted in order. Decoding, matching, windows and
// bans are the code that serve runs (receiver/decode, jails/filter, jails/state); what the pipeline
// adds to them at run time has its counterpart here: protected addresses, prefixes, logins that
// soften a ban, and bans that count in recidive jails.
//
// Trust, grants, origins and quotas are not looked at: history does not prove who wrote it. A
// failure whose event does not prove its address is not counted, because nobody witnessed it.
//
// Files are merged by time, so that their order on the command line does not matter. A file is
// begun when the others have reached its first line; it is never held in memory as a whole.
package replay
