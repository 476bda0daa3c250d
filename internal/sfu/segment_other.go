//go:build !linux

package sfu

import "net"

const maxSegments = 1

func canSegment(*net.UDPConn) bool           { return false }
func appendSegment(oob []byte, _ int) []byte { return oob[:0] }
func neverSegments(error) bool               { return true }
