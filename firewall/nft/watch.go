package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// Loss is a change of our table by others, found by Watch.
type Loss struct {
	// What was found, one phrase each.
	What []string
	// By is the name of the process that changed the ruleset last, as the kernel gives it: at
	// most 15 bytes, chosen by that process. Empty when unknown.
	By string
	// Elements says that elements may be missing: the caller sets them again with Reconcile.
	Elements bool
	// Err says why the table could not be repaired; Watch tries again every second.
	Err error
}

const (
	// watchEvery is how often Watch looks for itself, should a message be lost.
	watchEvery = time.Second
	// tidyEvery is how often empty sets of scopes are looked for.
	tidyEvery = 30 * time.Second
	// groupNFTables is NFNLGRP_NFTABLES.
	groupNFTables = 7
)

// change is one transaction of anybody's, as the kernel tells it.
type change struct {
	generation uint32
	by         string
}

// Watch repairs what others change in our table, within a second, until ctx is done; then it
// returns nil. lost is called after each repair, and each second while one fails, by a goroutine of
// Watch, and may call the Enforcer; telling the operator is left to it. With an owned table the kernel refuses others' changes, and Watch has little to do.
func (e *Enforcer) Watch(ctx context.Context, lost func(Loss)) error {
	conn, err := dialMonitor(e.netns)
	if err != nil {
		return fmt.Errorf("watch nftables: %w", permission(err))
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	changes := make(chan change) // unbuffered: the socket's buffer holds what waits, and loses what does not fit
	received := make(chan error, 1)
	var receiver sync.WaitGroup
	inner, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		receiver.Wait()
	}()
	receiver.Go(func() { received <- receiveChanges(inner, conn, changes) })

	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	tidied := e.now()
	for {
		by := ""
		select {
		case <-ctx.Done():
			return nil
		case err := <-received:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch nftables: %w", err)
		case c := <-changes:
			if !e.isOurs(c.generation) {
				by = c.by
			}
		case <-tick.C:
		}
		loss, err := e.look()
		switch {
		case errors.Is(err, errClosed):
			return err
		case err != nil:
			lost(Loss{What: []string{"the table cannot be checked"}, By: by, Elements: true, Err: err})
		case loss != nil:
			loss.By = by
			lost(*loss)
		}
		if now := e.now(); now.Sub(tidied) >= tidyEvery {
			tidied = now
			if err := e.tidy(now); err != nil && !errors.Is(err, errClosed) {
				e.log.Warn("empty sets could not be removed", "err", err)
			}
		}
	}
}

// dialMonitor opens a socket that hears of each transaction when it is done, and of nothing else:
// the messages for single elements are dropped before they use room in its buffer.
func dialMonitor(netns int) (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns})
	if err != nil {
		return nil, err
	}
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 2}, // nlmsg_type, in the host's order where BPF reads the network's
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(swapped(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN)), SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
	if err == nil {
		err = conn.SetBPF(filter)
	}
	if err == nil {
		err = conn.JoinGroup(groupNFTables)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// swapped is what BPF reads where the host wrote v.
func swapped(v uint16) uint16 {
	return binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, v))
}

func receiveChanges(ctx context.Context, conn *netlink.Conn, changes chan<- change) error {
	for {
		messages, err := conn.Receive()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		var c change // a lost message is a change of unknown origin
		for _, m := range messages {
			if len(m.Data) > sizeFamily {
				c.generation = be32(attr(m.Data[sizeFamily:], unix.NFTA_GEN_ID))
				c.by = text(attr(m.Data[sizeFamily:], unix.NFTA_GEN_PROC_NAME))
			}
		}
		select {
		case changes <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// counted notes that a transaction of ours was sent. Called after each, it knows others' from the
// generations that are not accounted for.
func (e *Enforcer) counted(err error) error {
	g, genErr := generation(e.reader)
	ours := g == e.generation || err == nil && g == e.generation+1 // one that changes nothing raises nothing
	if genErr != nil || !ours || errors.Is(err, errUnknown) {
		e.disturbed = true
	}
	if ours && g != e.generation {
		e.own[g%uint32(len(e.own))] = g
	}
	e.generation = g
	return err
}

// isOurs says whether the generation was made by a recent transaction of ours.
func (e *Enforcer) isOurs(g uint32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.own[g%uint32(len(e.own))] == g
}

// look repairs our table when others have made transactions since the last look.
func (e *Enforcer) look() (*Loss, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	g, err := generation(e.reader)
	if err != nil {
		return nil, err
	}
	if g == e.generation && !e.disturbed {
		return nil, nil
	}
	loss := Loss{What: slices.Clone(e.repaired), Elements: len(e.repaired) > 0}
	flaws, err := e.check()
	if err == nil {
		err = e.findFlowtables()
	}
	if err != nil {
		return nil, err
	}
	e.repaired = nil
	for _, f := range flaws {
		loss.What = append(loss.What, f.text)
		loss.Elements = loss.Elements || f.lost
	}
	e.generation, e.disturbed = g, false
	if len(flaws) > 0 {
		if loss.Err = e.repair(); loss.Err != nil {
			e.disturbed = true
		}
		e.repaired = nil // it is in this Loss
	}
	if loss.Err == nil {
		what, err := e.lookAtElements()
		if err != nil {
			return nil, err
		}
		if what != "" && !loss.Elements {
			loss.What = append(loss.What, what)
			loss.Elements = true
		}
	}
	if len(loss.What) == 0 {
		return nil, nil
	}
	return &loss, nil
}

// lookAtElements asks for some elements of each set, and writes anew the intervals that differ
// from what they were made of.
func (e *Enforcer) lookAtElements() (string, error) {
	var flaws []string
	now := e.now()
	var queries []query
	var sets []setID
	for id, keys := range e.samples {
		for key, end := range keys {
			if !end.IsZero() && end.Sub(now) < firewall.MinRemaining {
				delete(keys, key)
				continue
			}
			queries = append(queries, query{set: id.name(), key: key})
			sets = append(sets, id)
		}
	}
	if err := get(e.reader, e.config.Table, queries); err != nil {
		return "", err
	}
	missing := 0
	for i, q := range queries {
		if q.err == nil && !q.found {
			missing++
			delete(e.samples[sets[i]], q.key)
		}
	}
	if missing > 0 {
		flaws = append(flaws, fmt.Sprintf("%d of %d elements looked for are gone", missing, len(queries)))
	}
	for id, n := range e.nets {
		n.expire(now)
		if len(n.elements) == 0 {
			continue
		}
		have, err := readSegments(e.reader, e.config.Table, id.name(), e.now)
		if err = ignore(err, unix.EINTR); err != nil {
			return "", err
		}
		if want := n.segments(); !slices.EqualFunc(want, have, segment.same) {
			flaws = append(flaws, fmt.Sprintf("set %s has %d intervals, not our %d", id.name(), len(have), len(want)))
			if _, err := e.writeNets(id); err != nil {
				return "", err
			}
		}
	}
	if len(flaws) == 0 {
		return "", nil
	}
	return strings.Join(flaws, "; "), e.writeNever()
}

// samplesPerSet is how many elements of each set Watch asks for after others' changes.
const samplesPerSet = 64

// sample remembers some of the elements that were set, for lookAtElements.
func (e *Enforcer) sample(o *op) {
	keys := e.samples[o.set]
	switch {
	case o.remove:
		delete(keys, o.key)
	case keys == nil:
		keys = make(map[netip.Addr]time.Time)
		e.samples[o.set] = keys
		fallthrough
	case len(keys) < samplesPerSet:
		keys[o.key] = o.end
	default:
		if _, ok := keys[o.key]; ok {
			keys[o.key] = o.end
		}
	}
}

// tidy removes the sets of scopes and verdicts that hold nothing.
func (e *Enforcer) tidy(now time.Time) error {
	sets, nets, err := e.view()
	if err != nil {
		return err
	}
	var unused []setID
	for _, id := range sets {
		if id.always() || len(nets[id]) > 0 {
			continue
		}
		empty, err := e.isEmpty(id)
		if err != nil {
			return err
		}
		if empty {
			unused = append(unused, id)
		}
	}
	return e.drop(unused, now)
}

// drop removes sets, but for those that were written to lately.
func (e *Enforcer) drop(unused []setID, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	unused = slices.DeleteFunc(unused, func(id setID) bool { return !e.sets[id] || now.Sub(e.filled[id]) < tidyEvery })
	if e.closed || len(unused) == 0 {
		return nil
	}
	for _, id := range unused {
		delete(e.sets, id)
	}
	if err := e.structure(); err != nil {
		for _, id := range unused {
			e.sets[id] = true
		}
		return err
	}
	for _, id := range unused {
		delete(e.nets, id)
		delete(e.samples, id)
		delete(e.filled, id)
	}
	return nil
}
