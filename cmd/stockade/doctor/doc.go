// Package doctor finds out why an abuser is not stopped. Walk follows the way of a line from its
// source to the packet and names the first broken link with its remedy; Read looks at the nftables
// tables of other programs, so that a packet that they stop is not taken for our work.
//
// The package reads only. Read runs the program nft, with a limit of time, and never asks for a
// whole set: large sets are slow to list, so single elements are asked for by key.
package doctor
