"""Proof that the fault tests can fail: the code is broken in each way of the table, and the test named there has to notice.

table.py    each way: file, old text, new text, test
copy.py     a copy of the checkout in which it is broken, and a test run there
__main__.py `make mutants`
"""
