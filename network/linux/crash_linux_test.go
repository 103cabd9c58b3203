package linux

const crashVar = "FARDEL_TEST_CRASH"

func crashMain() {}
