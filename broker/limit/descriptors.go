package limit

// ReservedFiles is the files that are kept free for the log, the store and what else the process opens, so that no flood
// of connections takes them away: the log keeps up to 128 segments open, with two files each.
const ReservedFiles = 320

// Descriptors is how many files the process may have open at one time; 0: no limit is known.
type Descriptors int

// Share says how many connections two ports may have, of what they want. If both and the reserved files fit, it is what
// they want; else what there is, divided as they want it, but a third of it for HTTP if it wants so many: neither port can
// take the other's away. It is at least 1 each.
func (d Descriptors) Share(mqtt, http int) (forMQTT, forHTTP int) {
	room := int64(d) - min(ReservedFiles, int64(d)/2) // a process with few files has a small log, too
	want := int64(mqtt) + int64(http)
	if d == 0 || want <= room {
		return mqtt, http
	}
	room = max(2, room)
	forHTTP = int(max(1, room*int64(http)/want, min(int64(http), room/3)))
	return max(1, int(room)-forHTTP), forHTTP
}
