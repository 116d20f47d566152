package state

// Changed receives when there may be changes to take: for a consumer that waits for other things
// too and then calls TakeChanges. It is the one consumer; see WaitChanges.
func (s *Store) Changed() <-chan struct{} { return s.changes.wake }
