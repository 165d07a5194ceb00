"""Proof that the fault tests can fail: the code is broken in each way of the table, and the test named there has to notice.

mutant.py   one way: file, old text, new text, test
table.py    all of them; releases.py those about what is released and gone back to
copy.py     a copy of the checkout in which it is broken, and a test run there
__main__.py `make mutants`
"""
