module small.test

go 1.21
