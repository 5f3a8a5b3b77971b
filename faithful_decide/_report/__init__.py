"""Reports for people and for build servers: a few lines, one HTML file, JUnit XML.

The HTML has no script and asks for nothing: its content-security policy allows pictures that are
written into the page and the one style sheet in it, known by its hash. Every text in it is a
stranger's until proven otherwise: it is escaped, and what could not be seen (control characters,
marks that turn the direction of writing) is made visible. A picture gets into the page only as a
data URI that holds one.
"""
