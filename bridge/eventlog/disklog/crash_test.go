package disklog
func crashChild() bool { return false }
