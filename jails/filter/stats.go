package filter

// Stats counts what a Matcher saw. All fields only grow.
type Stats struct {
	Lines      uint64 // calls of Match
	Searches   uint64 // patterns that were searched for, after the scan for literals
	Matches    uint64 // matches returned
	Ignored    uint64 // matches taken back by an ignoreregex
	Budget     uint64 // searches given up because they took too many steps: the line was not judged by that pattern
	Names      uint64 // matches without an address, only with a host name: no failure
	Unreadable uint64 // matches whose address is none
	Facility   uint64 // matches of a pattern on a line of the wrong facility
	Evicted    uint64 // ids forgotten for want of room
	Pending    uint64 // of these, ids that still waited for their address or their end
}

// Add adds the counts of o to s.
func (s *Stats) Add(o Stats) {
	s.Lines += o.Lines
	s.Searches += o.Searches
	s.Matches += o.Matches
	s.Ignored += o.Ignored
	s.Budget += o.Budget
	s.Names += o.Names
	s.Unreadable += o.Unreadable
	s.Facility += o.Facility
	s.Evicted += o.Evicted
	s.Pending += o.Pending
}
