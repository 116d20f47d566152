// Package admin tests what an operator does to a daemon that runs.
package admin
