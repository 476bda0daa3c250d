package store

// OpenSeen is Open with a function that learns the text of every statement.
var OpenSeen = open
